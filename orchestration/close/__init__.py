"""The parts of a close: readiness, pinning, the build, read-back, freezing, manifests, proof."""
