"""The nouns and their states, as plain values. No I/O, no clock, no cryptography."""

from qekm.model.nouns import *
from qekm.model.peers import *
from qekm.model.states import *
