"""Where the published rules are that the default thresholds are from."""

from __future__ import annotations

CROWDSEC = "https://github.com/crowdsecurity/hub/blob/master/scenarios/crowdsecurity"
PANTHER = "https://github.com/panther-labs/panther-analysis/blob/main/rules/standard_rules"
PANTHER_OKTA = "https://github.com/panther-labs/panther-analysis/blob/main/rules/okta_rules"
ELASTIC_LINUX = "https://github.com/elastic/detection-rules/blob/main/rules/linux"
ELASTIC_OKTA = "https://github.com/elastic/detection-rules/blob/main/rules/integrations/okta"
ELASTIC_ML = "https://github.com/elastic/detection-rules/blob/main/rules/ml"
OKTA_BEHAVIORS = "https://help.okta.com/en-us/Content/Topics/security/behavior-detection/type-behavior-detection.htm"
NIST_OUTLIERS = "https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm"
