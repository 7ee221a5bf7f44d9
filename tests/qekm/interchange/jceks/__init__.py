"""Tests of qekm.interchange.jceks, Java's keystores."""
