"""The parts of live_parity.py."""
