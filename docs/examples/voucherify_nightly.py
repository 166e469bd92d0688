"""Every night, for each project: export the day's redemptions and all vouchers as Parquet."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import CronDataIntervalTimetable, dag

from voucherify_exports.airflow import VoucherifyExportOperator

# One Airflow connection for each project.
PROJECTS = ["voucherify_shop_de", "voucherify_shop_pl"]

# The variable holds a folder that all workers share, or a URL such as s3://aws_default@lake/voucherify.
FOLDER = "{{ var.value.voucherify_folder }}/{{ task.voucherify_conn_id }}/{{ data_interval_start | ds }}"

# One millisecond before midnight, since it is not documented whether $after includes the given time.
START = "{{ (data_interval_start - macros.timedelta(milliseconds=1)) | ts }}"
DAY = {"created_at": {"conditions": {"$after": [START], "$before": ["{{ data_interval_end | ts }}"]}}}


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
)
def voucherify_nightly() -> None:
    """Save the exports of a day to a folder for that day; running the day again replaces its files."""
    VoucherifyExportOperator.partial(
        task_id="redemptions",
        exported_object="redemption",
        filters=DAY,
        output_path=f"{FOLDER}/redemptions.parquet",
    ).expand(voucherify_conn_id=PROJECTS)
    VoucherifyExportOperator.partial(
        task_id="vouchers",
        exported_object="voucher",
        output_path=f"{FOLDER}/vouchers.parquet",
    ).expand(voucherify_conn_id=PROJECTS)


voucherify_nightly()
