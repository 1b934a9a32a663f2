"""The command line, one file a command. Commands import what they need when they run: `--help` loads no torch."""


def main() -> None:
    """Run the command line: the entry point of the script `avreward`."""
    from avreward.cli.main import app

    app()
