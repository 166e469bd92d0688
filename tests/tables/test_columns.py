import warnings

import pytest
from samples import wire

from voucherify_exports import Export
from voucherify_exports.catalog import CATALOG, ColumnType
from voucherify_exports.tables import ColumnWarning
from voucherify_exports.tables._columns import Origin, build_columns


def names(header: str, fields: str | None, exported_object: str = "voucher") -> list[str]:
    asked = None if fields is None else fields.split()
    return [
        column.name
        for column in build_columns(header.split(","), Origin.from_export(exported_object, asked), "field")
    ]


class TestAsked:
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
    def test_in_their_order(self, header: str, fields: str, expected: str) -> None:
        """The fields that were asked for stand over the columns, where no title contradicts that."""
        assert [name.replace(" ", "_") for name in names(header, fields)] == expected.split()

    @pytest.mark.parametrize(
        ("header", "fields", "problem"),
        [
            ("Code,Value", "value code", "'Code' stands where 'value'"),
            ("Category,Campaign", "campaign category", "'Category' stands where 'campaign'"),
            ("Code,Campaign ID", "code campaign", "'Campaign ID' stands where 'campaign'"),
            ("Code", "code value", "2 fields were asked for, and the file has 1 columns"),
            ("Code,Value,Season", "code value", "2 fields were asked for, and the file has 3 columns"),
            ("Code", "code value metadata active", "4 fields were asked for, and the file has 1 columns"),
            ("Code,Value,Season", "code metadata value", "'Value' stands where 'metadata'"),
            # What follows the properties has to say so: they could be at the end.
            ("Code,Highest,Season", "code metadata discount_amount_limit", "'Season' stands where 'discount"),
            ("Code,season", "metadata.season code", "'Code' stands where 'metadata.season'"),
            ("b,a", "metadata.a metadata.b", "'b' stands where 'metadata.a'"),
        ],
    )
    def test_nothing_is_swapped(self, header: str, fields: str, problem: str) -> None:
        """When titles and fields do not fit, every column keeps its title and is text, with a warning."""
        with pytest.warns(ColumnWarning, match=problem):
            columns = build_columns(header.split(","), Origin.from_export("voucher", fields.split()), "field")
        assert [column.name for column in columns] == header.split(",")
        assert {column.type for column in columns} == {ColumnType.TEXT}

    def test_every_field_of_the_catalog(self) -> None:
        """With the titles that the catalog knows, and its names otherwise, every object is mapped."""
        for entry in CATALOG.values():
            fields = [field for field in entry.fields if field.name != "metadata"]
            header = [field.title or field.name.replace("_", " ").title() for field in fields]
            asked = [field.name for field in fields]
            columns = build_columns(header, Origin.from_export(entry.exported_object, asked), "field")
            assert [column.name for column in columns] == asked
            assert [column.type for column in columns] == [field.type for field in fields]


class TestNotAsked:
    def test_the_default_fields(self) -> None:
        """Without fields the default ones stand there, also under titles that nobody knows."""
        assert names("Code,Kind,Value,Discount Type", None) == [
            "code",
            "voucher_type",
            "value",
            "discount_type",
        ]

    def test_each_title_for_itself(self) -> None:
        """Where the default ones do not fit, a title that names a field does, and others stay."""
        assert names("ID,Season,Loyalty Card Balance", None) == ["id", "Season", "loyalty_balance"]
        assert names("URL,Nothing Known", None, "api_log") == ["url", "Nothing Known"]

    def test_two_of_a_title(self) -> None:
        """Of two titles that name the same field, neither does."""
        assert names("ID,ID,Season", None) == ["ID", "ID (2)", "Season"]

    def test_of_an_unknown_object(self) -> None:
        """An object that this version does not know keeps its titles."""
        export = Export.from_dict(wire(exported_object="tier", parameters={}))
        with warnings.catch_warnings():
            columns = build_columns(["ID", "ID"], Origin.from_export(export), "field")
        assert [(column.name, column.type) for column in columns] == [
            ("ID", ColumnType.TEXT),
            ("ID (2)", ColumnType.TEXT),
        ]


class TestNames:
    def test_the_titles_of_the_file(self) -> None:
        """With `header` the names are the file's, and the types are known all the same."""
        columns = build_columns(["ID", "Value"], Origin.from_export("voucher", ["id", "value"]), "header")
        assert [(column.name, column.type) for column in columns] == [
            ("ID", ColumnType.TEXT),
            ("Value", ColumnType.DECIMAL),
        ]

    def test_all_are_different(self) -> None:
        """A row loses no cell to another of the same name."""
        header = ["a", "a", "a (2)", "a", "a (2)", ""]
        found = [column.name for column in build_columns(header, Origin(), "field")]
        assert found == ["a", "a (3)", "a (2)", "a (4)", "a (2) (2)", ""]

    def test_a_slip(self) -> None:
        """Other names than the two are refused."""
        with pytest.raises(ValueError, match="names must be 'field' or 'header', not 'fields'"):
            build_columns([], Origin(), "fields")  # type: ignore[arg-type]  # that is what is tested


class TestOrigin:
    def test_of_an_export(self) -> None:
        """An export tells its object and fields."""
        export = Export.from_dict(wire())
        assert export.parameters is not None
        assert Origin.from_export(export) == Origin("customer", export.parameters.fields)
        assert Origin.from_export(export, ["name"]) == Origin("customer", ("name",))
        bare = Export.from_dict(wire(parameters={}))
        assert Origin.from_export(bare) == Origin("customer", None)
        assert Origin.from_export(Export.from_dict(wire(parameters=...))).fields is None

    def test_slips(self) -> None:
        """What cannot be meant is refused."""
        with pytest.raises(TypeError, match=r"write \['code'\]"):
            Origin.from_export("voucher", "code")
        with pytest.raises(ValueError, match="'vouchers' is no exported object"):
            Origin.from_export("vouchers")
        with pytest.raises(ValueError, match="fields go with"):
            Origin.from_export(None, ["code"])

    def test_the_header_of_nothing(self) -> None:
        """An empty file has the columns that were asked for, of metadata none."""
        assert Origin.from_export("voucher", ["code", "metadata"]).make_header() == ("code",)
        assert Origin.from_export("customer").make_header() == ("name", "source_id")
        assert Origin().make_header() == ()
