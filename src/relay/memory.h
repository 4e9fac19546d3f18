// Memory that a storm of handshakes leaves behind, given back to the system: what V8 and malloc keep for the next one.
// Nothing of the relay's own; it stands in the addon because JavaScript cannot ask for it.
#ifndef UPGATE_MEMORY_H
#define UPGATE_MEMORY_H

// Asks the V8 of this thread for a collection in steps that also shrinks its heap; returns at once, and the collection
// goes on while the event loop is idle. 0 where this V8 has no such call.
int memory_shrink_heap(void);
// Gives back what malloc holds free. 0 where this libc has no such call.
int memory_trim(void);

#endif
