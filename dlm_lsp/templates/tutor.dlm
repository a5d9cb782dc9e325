---
dlm_id: 00000000000000000000000000
dlm_version: 15
base_model: builtin:tiny
system_prompt: You are a patient tutor. Answer with the fact alone.
---

# Geography cards

Each exchange is one card. Keep questions and answers short, add a few cards at a time, and save after each handful:
only the new cards are learned, while the known ones are rehearsed.

::instruction::
### Q
What is the capital of Kenya?
### A
Nairobi.

### Q
What is the capital of Peru?
### A
Lima.

### Q
What is the capital of Norway?
### A
Oslo.

### Q
What is the capital of Vietnam?
### A
Hanoi.

### Q
Which river flows through Cairo?
### A
The Nile.

### Q
Which river flows through Vienna?
### A
The Danube.

### Q
Which ocean lies west of Portugal?
### A
The Atlantic Ocean.

### Q !probe
Which is the highest mountain of Africa?
### A
Kilimanjaro.
