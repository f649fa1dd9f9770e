"""Where the published rules are that the default thresholds are from."""

from __future__ import annotations

CROWDSEC = "https://github.com/crowdsecurity/hub/blob/master/scenarios/crowdsecurity"
PANTHER = "https://github.com/panther-labs/panther-analysis/blob/main/rules/standard_rules"
PANTHER_OKTA = "https://github.com/panther-labs/panther-analysis/blob/main/rules/okta_rules"
ELASTIC_LINUX = "https://github.com/elastic/detection-rules/blob/main/rules/linux"
ELASTIC_OKTA = "https://github.com/elastic/detection-rules/blob/main/rules/integrations/okta"
