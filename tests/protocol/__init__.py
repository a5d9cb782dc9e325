"""The protocol to the byte, from the outside: plain bytes and JSON against a real server process (README.md)."""
