---
dlm_id: 00000000000000000000000000
dlm_version: 15
base_model: builtin:tiny
---

# Changelog of Lantern

## 1.2, in March

The old cache was removed, since it kept stale pages. Search is twice as fast.

## 1.1, in January

Dark mode arrived. Settings moved to one file.

::instruction::
### Q
What changed in 1.2?
### A
The old cache was removed and search became twice as fast.

### Q
When was 1.2 released?
### A
In March.

### Q
Why was the old cache removed?
### A
It kept stale pages.

### Q
What changed in 1.1?
### A
Dark mode arrived and settings moved to one file.

### Q
When was 1.1 released?
### A
In January.

### Q
Since when is there a dark mode?
### A
Since 1.1.
