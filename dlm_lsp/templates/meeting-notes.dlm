---
dlm_id: 00000000000000000000000000
dlm_version: 15
base_model: builtin:tiny
---

# Team notes

## 4 May

Present: Ana, Ben, Chidi. The new landing page goes to Ben, due on 20 May. Fridays stay free of meetings. The budget is
discussed again in June, when Chidi has the figures.

::instruction::
### Q
Who owns the new landing page?
### A
Ben.

### Q
When is the landing page due?
### A
On 20 May.

### Q
What did we decide about Fridays?
### A
They stay free of meetings.

### Q
When do we discuss the budget again?
### A
In June.

### Q
Who brings the figures for the budget?
### A
Chidi.

### Q
Who was at the meeting of 4 May?
### A
Ana, Ben and Chidi.
