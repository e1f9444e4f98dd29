"""Call detail records, from AMI events and from Master.csv: read, joined and judged. Pure, no I/O.

`times` turns the PBX's local times into epoch seconds; `event` and `master_csv` read both sources into the same legs,
which `leg` checks and bounds; `merge` says what belongs together; `judge` says what the legs of a call mean.
"""
