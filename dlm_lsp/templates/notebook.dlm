---
dlm_id: 00000000000000000000000000
dlm_version: 15
base_model: builtin:tiny
---

# Notebook

Write as you like, under headings of your own. Save, and the adapter reads what is new: that teaches it how you write.
What it has to answer, teach it as a question and an answer below.

## The house

The spare key hangs behind the blue door in the cellar. The boiler is serviced every October. The router stands on the
shelf in the hall, and its light is green when all is well.

::instruction::
### Q
What is this notebook for?
### A
It remembers what I write, and answers questions about it.

### Q
Where is the spare key?
### A
Behind the blue door in the cellar.

### Q
When is the boiler serviced?
### A
Every October.

### Q
Where is the router?
### A
On the shelf in the hall.

### Q
What colour is the light of the router?
### A
Green, when all is well.
