"""`python -m orchestration.cli`, where the console script is not on the path."""

from orchestration.cli import main

if __name__ == "__main__":
    main()
