"""A real Asterisk to play with: `python -m tests.pbx 22`, then commands on standard input until its end."""

import argparse
import asyncio
import shlex
import sys

from tests.pbx.ami_client import AmiError
from tests.pbx.asterisk import Asterisk
from tests.pbx.process import DAEMON, LAB, Options
from tests.pbx.root import VERSIONS, BuildError

_HELP = """leave BOX [SECONDS] [CALLER]   leave a message         hear BOX [COUNT]   hear new messages by phone
delete BOX                     delete one by phone     save BOX FOLDER    save one by phone
messages BOX                   what lies in the spool  cli COMMAND        Asterisk's own command line"""


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.pbx", description=__doc__)
    parser.add_argument("version", choices=VERSIONS)
    parser.add_argument("--port", type=int, default=0, help="AMI port (default: a free one)")
    parser.add_argument("--formats", default="wav", help="voicemail.conf's format, e.g. 'wav49|gsm|wav'")
    parser.add_argument("--sip", action="store_true", help="with PJSIP on a free port of 127.0.0.1")
    arguments = parser.parse_args()
    options = Options(ami_port=arguments.port, formats=arguments.formats, sip=arguments.sip)
    async with Asterisk.built(arguments.version, options) as pbx:
        users = ", ".join(f"{user.username}:{user.secret}" for user in (LAB, DAEMON))
        _say(f"pid   {pbx.pid}\nami   127.0.0.1:{pbx.ami_port} ({users})\nspool {pbx.spool}\n{_HELP}")
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                _say(await _obey(pbx, shlex.split(line)))
            except (AmiError, LookupError, ValueError) as error:
                _say(f"{type(error).__name__}: {error}\n{_HELP}")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 -- a command talks to its user


async def _obey(pbx: Asterisk, words: list[str]) -> str:
    """Do what a line of standard input says; give what is to be printed."""
    match words:
        case []:
            return ""
        case ["leave", box, *rest]:
            seconds, caller = rest[0] if rest else "1.2", rest[1] if rest[1:] else '"Jane Doe" <15551234567>'
            await pbx.leave(box, seconds=float(seconds), caller=caller)
        case ["hear", box, *rest]:
            await pbx.hear(box, count=int(rest[0]) if rest else 1)
        case ["delete", box]:
            await pbx.delete_by_phone(box)
        case ["save", box, folder]:
            await pbx.save_by_phone(box, folder=folder)
        case ["messages", box]:
            return "\n".join(f"{message.txt}  {message.fields}" for message in pbx.messages(box))
        case ["cli", *command]:
            return await pbx.cli(" ".join(command))
        case _:
            raise ValueError(f"not a command: {' '.join(words)}")
    return f"{words[1]}: {await pbx.count(words[1])}"


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except BuildError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
