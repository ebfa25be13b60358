"""Run the ``fastgpt`` command as ``python -m fastgpt_client``."""

from .cli import main

if __name__ == "__main__":
    main()
