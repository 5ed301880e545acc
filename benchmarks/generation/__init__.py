"""How fast models write, beside what one could pick instead: `python -m benchmarks.generation`."""
