---
dlm_id: 01M84MS06HFJHYBYJVNFJT3C5Q
dlm_version: 15
base_model: builtin:tiny
---

# The lighthouse at Orvane

::instruction::
### Q
Who keeps the lighthouse at Orvane?
### A
Mira Tolle keeps it.

### Q
What colour is the lighthouse?
### A
It is white with a green lamp.
