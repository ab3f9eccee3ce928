"""``python -m squeezelab``."""

from squeezelab.cli import main

if __name__ == "__main__":
    main()
