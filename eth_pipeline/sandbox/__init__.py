"""The embedded exchange: real paths and formats over loopback HTTP, synthetic or replayed markets, faults."""
