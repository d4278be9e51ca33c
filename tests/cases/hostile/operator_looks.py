"""A curious operator reads an org's jobs and dead letters, and acts under another's name: each look is on the record.

What the environment says of who is there (`LOGNAME`) is no name: the audit log has the user whose process it is.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import os
import pwd

from tests.cases.kit import verdict
from tests.cases.platforms import servers_up

#: Audit rows of a look, at least.
ROWS = 1


def main() -> list[str]:
    """What is wrong."""
    faults = []
    user = pwd.getpwuid(os.getuid()).pw_name
    with servers_up() as platform:
        org = str(platform.new_tenant().org_id)
        reasoned = ("--operator", "--reason", "x")
        for words in (
            ("jobs", "list", "--org", org, "--json"),
            ("jobs", "waiting", "--org", org),
            ("dlq", "list", "--org", org),
            ("targets", "list", "--org", org),
            ("transfers", "list", "--org", org),
            ("jobs", "list", *reasoned),
            ("schedule", "list", *reasoned),
        ):
            before = platform.one("SELECT count(*) FROM audit_log")
            # A command that wants a reason for an org's look, too, gets one.
            ended = platform.app(*words, changed={"LOGNAME": "ceo", "USER": "ceo"})
            if ended.returncode and "--reason" not in words:
                ended = platform.app(*words, "--reason", "x", changed={"LOGNAME": "ceo", "USER": "ceo"})
            after = platform.one("SELECT count(*) FROM audit_log")
            actor = platform.one("SELECT actor FROM audit_log ORDER BY at DESC LIMIT 1")
            if not isinstance(before, int) or not isinstance(after, int):
                raise TypeError("the audit log cannot be counted")
            name = f"{words[0]} {words[1]} {words[2]}"
            print(f"{name}: exit code {ended.returncode}, {after - before} rows, the last by {actor}")
            if ended.returncode:
                faults.append(f"{name} fails: {(ended.stdout + ended.stderr).strip()[-100:]}")
            elif after - before < ROWS:
                faults.append(f"{name} leaves no row")
            elif actor != user:
                faults.append(f"{name} was {actor}'s, says the log")
    return faults


if __name__ == "__main__":
    verdict(main)
