// node-quickbooks reads and writes a company; what it got is printed as JSON.
const QuickBooks = require('node-quickbooks');
const { promisify } = require('util');

const { url, clientId, clientSecret, realmId, token, refreshToken } = JSON.parse(process.argv[2]);

async function main() {
  QuickBooks.V3_ENDPOINT_BASE_URL = `${url}/v3/company/`;
  QuickBooks.TOKEN_URL = `${url}/oauth2/v1/tokens/bearer`;
  QuickBooks.REVOKE_URL = `${url}/v2/oauth2/tokens/revoke`;
  const books = new QuickBooks(
    clientId, clientSecret, token, false, realmId, true, false, null, '2.0', refreshToken);
  const call = (name, ...given) => promisify(books[name]).call(books, ...given);
  const refusal = (name, ...given) => new Promise((done) => {
    books[name](...given, (error) => done(error && error.response.data.Fault.Error[0].code));
  });

  const found = await call('findInvoices', [
    { field: 'TotalAmt', value: 5, operator: '>' }, { field: 'fetchAll', value: true },
  ]);
  const counted = await call('findInvoices', { count: true });
  const buyer = await call('createCustomer', { DisplayName: 'Kestrel Logistics' });
  const line = {
    Amount: 100,
    DetailType: 'SalesItemLineDetail',
    SalesItemLineDetail: { ItemRef: { value: '1' } },
  };
  const invoice = await call('createInvoice', { CustomerRef: { value: buyer.Id }, Line: [line] });
  const changed = await call('updateInvoice', {
    Id: invoice.Id, SyncToken: invoice.SyncToken, sparse: true, PrivateNote: 'By hand',
  });
  const stale = await refusal('updateInvoice', {
    Id: invoice.Id, SyncToken: invoice.SyncToken, sparse: true, PrivateNote: 'Late',
  });
  const since = new Date(Date.now() - 60000).toISOString();
  const changes = await call('changeDataCapture', ['Invoice', 'Customer'], since);
  const batch = await call('batch', [
    { bId: '1', Query: "select * from Invoice where Id = '9'" },
    { bId: '2', operation: 'delete', Invoice: { Id: '777', SyncToken: '0' } },
  ]);
  const voided = await call('voidInvoice', { Id: changed.Id, SyncToken: changed.SyncToken });
  const missing = await refusal('getInvoice', '77777');
  const refreshed = await call('refreshAccessToken');
  await call('revokeAccess', true);
  console.log(JSON.stringify({
    found: found.QueryResponse.Invoice.map((row) => row.Id),
    counted: counted.QueryResponse.totalCount,
    buyer: [buyer.Id, buyer.FullyQualifiedName],
    invoice: [invoice.Id, invoice.TotalAmt, invoice.Line.map((part) => part.DetailType)],
    changed: [changed.SyncToken, changed.PrivateNote, changed.TotalAmt],
    stale,
    changes: changes.CDCResponse[0].QueryResponse.map((group) => Object.keys(group)[0]),
    batch: batch.BatchItemResponse.map((part) => [part.bId, part.Fault && part.Fault.Error[0].code]),
    voided: [voided.Invoice.TotalAmt, voided.Invoice.PrivateNote],
    missing,
    expires: refreshed.expires_in,
    token: books.token,
  }));
}

main();
