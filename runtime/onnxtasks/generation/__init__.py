"""One decode loop for every model that writes: rules, search and stopping, without a task."""
