# Makes a data folder from `input`: sh make_data.sh STATEMENTS FOLDER, where STATEMENTS is the command of a version.
set -eu
cd "$(dirname "$0")/input"
statements=$1
export STATEMENTS_DATA_DIR="../$2"
mkdir "../$2"
cp -r sources "../$2/sources"
"$statements" land tenants tenants.csv
"$statements" land number_assignments numbers.csv
"$statements" land ip_assignments ips.csv
"$statements" land cdrs september.csv
"$statements" land cdrs september-again.csv
"$statements" land cdrs --source freeswitch-csv@pbx1 freeswitch-september.csv
"$statements" close 2026-09 --accept-rejected
"$statements" land tenants tenants-october.csv
"$statements" land number_assignments numbers-october.csv
"$statements" land cdrs october.csv
"$statements" land cdrs --source freeswitch-csv@pbx1 freeswitch-october.csv
"$statements" land cdrs late.csv
# Caches, locks and private work.
cd "../$2"
rm -r build dagster warehouse.duckdb .lock
