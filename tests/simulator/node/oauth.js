// Intuit's own OAuth client goes through a connection; what it got is printed as JSON.
const OAuthClient = require('intuit-oauth');

const { url, clientId, clientSecret, redirectUri, realmId } = JSON.parse(process.argv[2]);

async function approved(address) {
  const answer = await fetch(address, { redirect: 'manual' });
  return answer.headers.get('location');
}

async function refusal(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return error.error || error.originalMessage || error.message;
  }
}

async function main() {
  const client = new OAuthClient({ clientId, clientSecret, redirectUri, environment: 'sandbox' });
  client.setAuthorizeURLs({
    authorizeEndpoint: `${url}/connect/oauth2`,
    tokenEndpoint: `${url}/oauth2/v1/tokens/bearer`,
    revokeEndpoint: `${url}/v2/oauth2/tokens/revoke`,
    userInfoEndpoint: `${url}/v1/openid_connect/userinfo`,
  });
  OAuthClient.jwks_uri = `${url}/op/v1/jwks`;
  OAuthClient.environment.sandbox = `${url}/`;

  const scope = Object.values(OAuthClient.scopes);
  const back = await approved(client.authorizeUri({ scope, state: 'the-state' }));
  const made = (await client.createToken(back)).json;
  const valid = await client.validateIdToken();
  const user = (await client.getUserInfo()).json;
  const refreshed = (await client.refresh()).json;
  const validAgain = await client.validateIdToken();
  const read = await client.makeApiCall({ url: `v3/company/${realmId}/invoice/145` });
  const gone = await refusal(() =>
    client.makeApiCall({ url: `v3/company/${realmId}/invoice/77777` }));
  const revoked = (await client.revoke()).response.status;
  const dead = await refusal(() => client.refreshUsingToken(refreshed.refresh_token));
  console.log(JSON.stringify({
    realmId: client.getToken().realmId,
    expires: [made.expires_in, made.x_refresh_token_expires_in],
    sameRefreshToken: made.refresh_token === refreshed.refresh_token,
    valid: [valid, validAgain],
    user,
    number: read.json.Invoice.DocNumber,
    gone,
    revoked,
    dead,
  }));
}

main();
