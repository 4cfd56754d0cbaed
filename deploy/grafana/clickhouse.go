package main

// clickhouse is what goes in, and how ClickHouse is. What its system tables say is read by the workers (CLICKHOUSE_METRICS); each shows
// the same, so it is the maximum that counts.
func clickhouse() page {
	return page{
		title: "ClickHouse", about: "How fast do inserts go, and how is ClickHouse?", variables: topics(),
		rows: []row{{"Inserts", inserts()}, {"Queries", asked()}, {"Disk and tables", tables()}},
	}
}

func inserts() []panel {
	return []panel{
		{
			title: "Answers", unit: count, look: number, redBelow: 1,
			about:   "1 if the last reading of its system tables worked.",
			queries: []query{{"max(ingest_clickhouse_up)", ""}},
		},
		{
			title: "Least disk left", unit: share, look: number, redBelow: 0.1,
			about:   "Of the disk that has least.",
			queries: []query{{"min(ingest_clickhouse_disk_free_bytes / ingest_clickhouse_disk_total_bytes)", ""}},
		},
		{
			title: "Most parts, of the limit", unit: share, look: number, red: 0.5,
			about:   "Parts of the partition that has most, of those at which inserts are refused.",
			queries: []query{{"max(ingest_clickhouse_max_parts_in_partition) / min(ingest_clickhouse_parts_limit)", ""}},
		},
		{
			title: "Mutations", unit: count, look: number,
			about:   "Of all tables.",
			queries: []query{{"sum(max by (table) (ingest_clickhouse_mutations))", ""}},
		},
		{
			title: "Rows", unit: count, look: number,
			about:   "Of logs, metrics, events and dead letters.",
			queries: []query{{`sum(max by (table) (ingest_clickhouse_table_rows))`, ""}},
		},
		{
			title: "On disk", unit: inBytes, look: number,
			about:   "All tables of the database, compressed.",
			queries: []query{{"sum(max by (table) (ingest_clickhouse_table_bytes))", ""}},
		},
		{
			title: "Rows per second", unit: perSecond, stacked: true,
			about:   "That ClickHouse acknowledged.",
			queries: []query{rate("ingest_stored_rows_total", ofTopic, "topic", legendOf)},
		},
		{
			title: "Bytes per second", unit: bytesASec, stacked: true,
			about:   "Of the columns that were acknowledged, uncompressed.",
			queries: []query{rate("ingest_insert_bytes_total", ofTopic, "topic", legendOf)},
		},
		{
			title: "Inserts per second", unit: perSecond, stacked: true,
			about:   "By what came of them.",
			queries: []query{rate("ingest_inserts_total", ofTopic, "result", "{{result}}")},
		},
		{
			title: "Duration of an insert", unit: seconds, width: 12,
			about:   "Of one block, with what is tried again at once.",
			queries: quantiles("ingest_insert_seconds"),
		},
		{
			title: "Duration of a look", unit: seconds, width: 12,
			about:   "What each batch asks before it inserts.",
			queries: quantiles("ingest_look_seconds"),
		},
	}
}

func asked() []panel {
	return []panel{
		{
			title: "Duration of queries", unit: seconds,
			about:   "Of the last minutes of the query log, by kind.",
			queries: []query{{"max by (kind, quantile) (ingest_clickhouse_query_seconds)", "{{kind}} {{quantile}}"}},
		},
		{
			title: "Queries per second", unit: perSecond,
			about:   "On our database, whoever asks.",
			queries: []query{{"max by (kind) (ingest_clickhouse_queries)", "{{kind}}"}},
		},
		{
			title: "Queries that fail, per second", unit: perSecond,
			about:   "On our database, whoever asks.",
			queries: []query{{"max by (kind) (ingest_clickhouse_query_failures)", "{{kind}}"}},
		},
	}
}

func tables() []panel {
	of := func(metric string) []query {
		return []query{{"max by (table) (ingest_clickhouse_" + metric + ")", "{{table}}"}}
	}
	return []panel{
		{
			title: "Disk left", unit: share, max: 1,
			about:   "By disk.",
			queries: []query{{"min by (disk) (ingest_clickhouse_disk_free_bytes / ingest_clickhouse_disk_total_bytes)", "{{disk}}"}},
		},
		{title: "Size of tables", unit: inBytes, about: "On disk, compressed.", queries: of("table_bytes")},
		{title: "Rows of tables", unit: count, about: "In active parts.", queries: of("table_rows")},
		{title: "Active parts", unit: count, about: "Of each table.", queries: of("table_parts")},
		{
			title: "Most parts of a partition", unit: count,
			about:   "At the limit (parts_to_throw_insert) ClickHouse refuses inserts.",
			queries: append(of("max_parts_in_partition"), query{"min(ingest_clickhouse_parts_limit)", "limit"}),
		},
		{title: "Merges at work", unit: count, about: "Mutations of parts too.", queries: of("merges")},
		{title: "Unfinished mutations", unit: count, about: "One that fails stays, and holds merges up.", queries: of("mutations")},
		{title: "Replication queue", unit: count, about: "Only where tables are replicated.", queries: of("replication_queue")},
		{title: "Replication delay", unit: seconds, about: "Only where tables are replicated.", queries: of("replication_delay_seconds")},
		{
			title: "Time to read all this", unit: seconds, width: 24,
			about:   "What the workers' readings take. CLICKHOUSE_METRICS=false ends them.",
			queries: []query{{"max by (instance) (ingest_clickhouse_reading_seconds)", "{{instance}}"}},
		},
	}
}
