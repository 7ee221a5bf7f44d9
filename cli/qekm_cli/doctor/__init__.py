"""`qekm doctor`: what is broken between here and the key manager, and the bundle for whoever helps."""
