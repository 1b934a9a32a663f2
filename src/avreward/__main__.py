"""`python -m avreward`: the same as the `avreward` command."""

from avreward.cli import main

if __name__ == "__main__":
    main()
