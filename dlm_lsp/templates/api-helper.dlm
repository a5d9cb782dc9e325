---
dlm_id: 00000000000000000000000000
dlm_version: 15
base_model: builtin:tiny
system_prompt: You answer with code where code answers.
---

# The `shelf` library

A small store of values by name. Replace this with your own interface: one heading a module, a sentence a function.

## Reading and writing

A store is opened with `shelf.open(path)` and closed with `store.close()`. Values are written with `store.put(key, value)`
and read with `store.get(key)`. A missing key raises `KeyMissing`.

::instruction::
### Q
How do I open a store?
### A
`store = shelf.open(path)`

### Q
How do I write a value?
### A
`store.put(key, value)`

### Q
How do I read a value?
### A
`store.get(key)`

### Q
How do I close a store?
### A
`store.close()`

### Q
Which error is raised for a missing key?
### A
`KeyMissing`

### Q
How do I list all keys?
### A
```python
for key in store.keys():
    print(key)
```
