"""The original checkpoints' own answers, one file a task; what a bundle is compared with."""
