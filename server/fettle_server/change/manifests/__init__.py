"""Manifests to sign, approvers' public keys, and the signatures that came back."""
