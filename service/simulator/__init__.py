"""A PBX that runs without Asterisk: it speaks AMI, and writes a voicemail spool and a Master.csv as Asterisk does.

`voicemaild demo`, the fast tests and the benchmark run the daemon against it. It is no part of the daemon: of that it
knows the model alone, and nothing of the daemon but `demo` knows it.
"""
