"""The command line, one file a command. Commands import what they need when they run: `--help` loads no torch."""


def main() -> None:
    """What the `avreward` script calls."""
    from avreward.cli.main import app

    app()
