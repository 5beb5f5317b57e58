-- Takes back that an erasure ends compactions.

revoke update (status, error, finished_at) on kata_data.compaction from kata_eraser;
