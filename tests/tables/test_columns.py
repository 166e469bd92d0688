import warnings

import pytest
from samples import wire

from voucherify_exports import Export
from voucherify_exports.catalog import CATALOG, ColumnType
from voucherify_exports.tables import ColumnWarning
from voucherify_exports.tables._columns import Origin, build_columns


def names(header: str, fields: str | None, exported_object: str = "voucher") -> list[str]:
    requested = None if fields is None else fields.split()
    return [
        column.name
        for column in build_columns(
            header.split(","), Origin.from_export(exported_object, requested), "field"
        )
    ]


class TestRequestedFields:
    @pytest.mark.parametrize(
        ("header", "fields", "expected"),
        [
            ("ID,Code,Voucher Type,Value", "id code voucher_type value", "id code voucher_type value"),
            ("Barcode,Redemption Limit", "bar_code redemption_quantity", "bar_code redemption_quantity"),
            ("qr code,ADDITIONAL_INFO", "qr_code additional_info", "qr_code additional_info"),
            ("What Nobody Knows,Code", "campaign code", "campaign code"),
            ("Code,Season", "code metadata", "code metadata.Season"),
            ("Code,Season,Rank,Value", "code metadata value", "code metadata.Season metadata.Rank value"),
            ("Code,Value", "code metadata value", "code value"),
            ("Code", "code metadata", "code"),
            ("metadata.a b,Code", "metadata code", "metadata.a_b code"),
            ("Code,Code", "code metadata", "code metadata.Code"),
            ("season,Code", "metadata.season code", "metadata.season code"),
            ("metadata.season,Code", "metadata.season code", "metadata.season code"),
            ("The Season,Code", "metadata.season code", "metadata.season code"),
            ("Value,Value", "value metadata.value", "value metadata.value"),
        ],
    )
    def test_in_order(self, header: str, fields: str, expected: str) -> None:
        """The columns have the order of the requested fields, unless a title contradicts that."""
        assert [name.replace(" ", "_") for name in names(header, fields)] == expected.split()

    @pytest.mark.parametrize(
        ("header", "fields", "problem"),
        [
            ("Code,Value", "value code", "'Code' is in the place of the requested field 'value'"),
            (
                "Category,Campaign",
                "campaign category",
                "'Category' is in the place of the requested field 'campaign'",
            ),
            (
                "Code,Campaign ID",
                "code campaign",
                "'Campaign ID' is in the place of the requested field 'campaign'",
            ),
            ("Code", "code value", "2 fields were requested, but the file has 1 columns"),
            ("Code,Value,Season", "code value", "2 fields were requested, but the file has 3 columns"),
            ("Code", "code value metadata active", "4 fields were requested, but the file has 1 columns"),
            (
                "Code,Value,Season",
                "code metadata value",
                "'Value' is in the place of the requested field 'metadata'",
            ),
            # A column after the properties must have its title: the properties could be at the end.
            (
                "Code,Highest,Season",
                "code metadata discount_amount_limit",
                "'Season' is in the place of .* 'discount",
            ),
            (
                "Code,season",
                "metadata.season code",
                "'Code' is in the place of the requested field 'metadata.season'",
            ),
            ("b,a", "metadata.a metadata.b", "'b' is in the place of the requested field 'metadata.a'"),
        ],
    )
    def test_nothing_is_swapped(self, header: str, fields: str, problem: str) -> None:
        """If titles and fields do not match, every column keeps its title and is text, with a warning."""
        with pytest.warns(ColumnWarning, match=problem):
            columns = build_columns(header.split(","), Origin.from_export("voucher", fields.split()), "field")
        assert [column.name for column in columns] == header.split(",")
        assert {column.type for column in columns} == {ColumnType.TEXT}

    def test_every_field_of_the_catalog(self) -> None:
        """All fields are matched by the titles in the catalog, or else by their names."""
        for entry in CATALOG.values():
            fields = [field for field in entry.fields if field.name != "metadata"]
            header = [field.title or field.name.replace("_", " ").title() for field in fields]
            requested = [field.name for field in fields]
            columns = build_columns(header, Origin.from_export(entry.exported_object, requested), "field")
            assert [column.name for column in columns] == requested
            assert [column.type for column in columns] == [field.type for field in fields]


class TestNoRequestedFields:
    def test_the_default_fields(self) -> None:
        """The columns are the default fields, even if a title is unknown."""
        assert names("Code,Kind,Value,Discount Type", None) == [
            "code",
            "voucher_type",
            "value",
            "discount_type",
        ]

    def test_each_title_alone(self) -> None:
        """If the default fields do not match, titles that name a field do, and others are kept."""
        assert names("ID,Season,Loyalty Card Balance", None) == ["id", "Season", "loyalty_balance"]
        assert names("URL,Nothing Known", None, "api_log") == ["url", "Nothing Known"]

    def test_two_equal_titles(self) -> None:
        """If two titles name the same field, both are kept."""
        assert names("ID,ID,Season", None) == ["ID", "ID (2)", "Season"]

    def test_an_unknown_object(self) -> None:
        """The columns of an unknown object keep their titles."""
        export = Export.from_dict(wire(exported_object="tier", parameters={}))
        with warnings.catch_warnings():
            columns = build_columns(["ID", "ID"], Origin.from_export(export), "field")
        assert [(column.name, column.type) for column in columns] == [
            ("ID", ColumnType.TEXT),
            ("ID (2)", ColumnType.TEXT),
        ]


class TestNames:
    def test_header(self) -> None:
        """With `header` the names are the titles of the file, and the types are still known."""
        columns = build_columns(["ID", "Value"], Origin.from_export("voucher", ["id", "value"]), "header")
        assert [(column.name, column.type) for column in columns] == [
            ("ID", ColumnType.TEXT),
            ("Value", ColumnType.DECIMAL),
        ]

    def test_all_are_different(self) -> None:
        """Repeated names are numbered, so that a row loses no cell."""
        header = ["a", "a", "a (2)", "a", "a (2)", ""]
        found = [column.name for column in build_columns(header, Origin(), "field")]
        assert found == ["a", "a (3)", "a (2)", "a (4)", "a (2) (2)", ""]

    def test_an_invalid_value(self) -> None:
        """Only the two values are accepted."""
        with pytest.raises(ValueError, match="names must be 'field' or 'header', not 'fields'"):
            build_columns([], Origin(), "fields")  # type: ignore[arg-type]  # that is what is tested


class TestOrigin:
    def test_of_an_export(self) -> None:
        """An export has its object and fields."""
        export = Export.from_dict(wire())
        assert export.parameters is not None
        assert Origin.from_export(export) == Origin("customer", export.parameters.fields)
        assert Origin.from_export(export, ["name"]) == Origin("customer", ("name",))
        bare = Export.from_dict(wire(parameters={}))
        assert Origin.from_export(bare) == Origin("customer", None)
        assert Origin.from_export(Export.from_dict(wire(parameters=...))).fields is None

    def test_invalid_values(self) -> None:
        """Invalid values are refused with a hint."""
        with pytest.raises(TypeError, match=r"write \['code'\]"):
            Origin.from_export("voucher", "code")
        with pytest.raises(ValueError, match="unknown exported object 'vouchers'; known are voucher, "):
            Origin.from_export("vouchers")
        with pytest.raises(ValueError, match="fields need export: "):
            Origin.from_export(None, ["code"])

    def test_the_header_of_an_empty_file(self) -> None:
        """An empty file has the requested columns, except metadata."""
        assert Origin.from_export("voucher", ["code", "metadata"]).make_header() == ("code",)
        assert Origin.from_export("customer").make_header() == ("name", "source_id")
        assert Origin().make_header() == ()
