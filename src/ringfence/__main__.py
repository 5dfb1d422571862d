"""``python -m ringfence``: the same as the command ``ringfence``."""

from ringfence.cli import main

if __name__ == "__main__":
    main()
