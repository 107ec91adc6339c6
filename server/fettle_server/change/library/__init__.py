"""The definitive software library: packages, scripts and licences, builds, and how far endpoints have drifted from them."""
