"""A believable estate written straight into a store: what screenshots and the browser tests look at. No part of the product."""
