"""The front door: ``python main.py --size small``."""

from squeezelab.cli import main

if __name__ == "__main__":
    main()
