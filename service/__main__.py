"""Makes `python -m service` the same as the `voicemaild` command."""

from service.cli import main

if __name__ == "__main__":
    main()
