"""Small programs that each try one hard case from the outside and say whether it holds: `make cases`."""
