"""Write the input of the sample lake: first.ndjson, auth.log and second.ndjson."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 20, 8, tzinfo=UTC)


def login(number, minutes, **fields):
    event = {
        "event_id": f"e{number}",
        "event_at": (START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z"),
        "action": "login",
        "outcome": "success",
        "username": "alice",
        "src_ip": "8.8.8.8",
        "app": "vpn",
    }
    return json.dumps(event | fields)


first = [
    login(n, 3 * n, username=("alice", "bob", "carol")[n % 3], src_ip=("8.8.8.8", "10.0.0.7")[n % 2]) for n in range(12)
]
first += [
    login(
        100 + n,
        60 + n / 60,
        username="root",
        src_ip="185.220.101.4",
        outcome="failure",
        failure_reason="invalid_credentials",
    )
    for n in range(25)
]
first += [first[0], first[1]]  # duplicates
first += [login(200, 70, action="password_change", outcome=None)]  # ignored
first += ["{not json", login(201, 70, event_at="yesterday")]  # broken
first += [login(300, 24 * 60 + 5)]  # the next day closes the windows above
second = [
    login(
        400,
        24 * 60 + 30,
        username="dave",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    )
]
second += [login(401, 10, username="bob", src_ip="10.0.0.7")]  # late: its window is closed
second += [first[2]]  # a duplicate of an earlier batch
Path("first.ndjson").write_text("\n".join(first) + "\n")
Path("second.ndjson").write_text("\n".join(second) + "\n")
Path("auth.log").write_text("""\
Nov 20 09:10:00 gate sshd[811]: Accepted publickey for git from 1.1.1.1 port 40022 ssh2: ED25519 SHA256:abc
Nov 20 09:10:00 gate sshd[811]: pam_unix(sshd:session): session opened for user git by (uid=0)
Nov 20 09:11:00 gate sshd[812]: Invalid user admin from 185.220.101.9
Nov 20 09:11:02 gate sshd[812]: Failed password for invalid user admin from 185.220.101.9 port 40100 ssh2
Nov 20 09:11:09 gate sshd[812]: message repeated 5 times: \
[ Failed password for invalid user admin from 185.220.101.9 port 40100 ssh2]
Nov 20 09:12:00 gate sshd[811]: pam_unix(sshd:session): session closed for user git
Nov 20 09:13:00 gate cron[9]: job started
""")
