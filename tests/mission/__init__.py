"""The net: one test a row of what the platform promises, from the outside and untouched by what moves inside."""
