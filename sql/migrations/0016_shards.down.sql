-- Removes the ranges of buckets, which a proxy has in its map, too.

drop table kata_data.bucket_range;
