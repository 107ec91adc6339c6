"""The estate: schools, people and their scopes, endpoints and what is known of them."""
