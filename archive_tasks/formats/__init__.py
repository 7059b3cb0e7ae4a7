"""The bytes in the target: keys, manifests, packs. Golden files guard every version."""
