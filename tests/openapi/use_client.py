"""What somebody's program does with a generated client: makes a product, reads a report. Arguments: URL, token."""

import sys

from tuike_admin_api_client import AuthenticatedClient
from tuike_admin_api_client.api.default import get_reports_summary, post_merchants, post_products
from tuike_admin_api_client.models import (
    MerchantBody,
    MerchantBodyCurrency,
    NewMerchant,
    Product,
    ProductBody,
    ProductBodyCommission,
    Summary,
)

url, token = sys.argv[1:]
with AuthenticatedClient(base_url=url, token=token) as client:
    merchant = post_merchants.sync(
        client=client, body=MerchantBody(id="generated", name="Generated", currency=MerchantBodyCurrency.CNY)
    )
    assert isinstance(merchant, NewMerchant) and merchant.secret, merchant
    rule = ProductBodyCommission.from_dict({"type": "percentage", "value": "10.0"})
    product = post_products.sync(
        client=client,
        body=ProductBody(
            id="by-client", merchant="generated", name="By a client", url="https://shop.example/", commission=rule
        ),
        idempotency_key="once",
    )
    assert isinstance(product, Product) and product.attribution.window_days == 30, product
    report = get_reports_summary.sync(client=client, merchant="generated", tz="Asia/Shanghai")
    assert isinstance(report, Summary) and report.conversions == 0, report
print(product.id, report.tz)
