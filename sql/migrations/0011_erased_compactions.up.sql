-- An erasure ends the running compactions that may tell of what it erases.

grant update (status, error, finished_at) on kata_data.compaction to kata_eraser;
