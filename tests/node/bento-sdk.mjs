// Sends to Bento, by its official Node SDK, what `tests/it/bento/sdk.rs` has the destination send: the same people, orders
// and events, written as the author of a shop would write them.
//
//   node bento-sdk.mjs SDK BASE_URL PUBLISHABLE_KEY SECRET_KEY SITE_UUID
//
// SDK is the directory of the installed package. The order of calls is the order of the requests that the test compares.

import { pathToFileURL } from 'node:url';

const [sdk, baseUrl, publishableKey, secretKey, siteUuid] = process.argv.slice(2);
const { Analytics } = await import(pathToFileURL(`${sdk}/dist/index.js`).href);
const bento = new Analytics({
    authentication: { publishableKey, secretKey },
    clientOptions: { baseUrl },
    siteUuid,
}).V1;

const email = 'jesse@example.com';
const date = new Date('2019-11-18T17:05:00Z');

await bento.Batch.importSubscribers({
    subscribers: [
        { email, name: 'Jesse', age: 41, newsletter: true },
        { email: 'scott@example.com', name: 'Scott' },
    ],
});
await bento.Subscribers.createSubscriber({ email });
await bento.Commands.addTag({ email, tagName: 'customer' });
await bento.Commands.addField({ email, field: { key: 'name', value: 'Jesse' } });

const order = {
    unique: { key: 'DE:0006000384' },
    value: { currency: 'EUR', amount: 4613 },
    cart: {
        items: [
            {
                product_sku: 'AB1234',
                product_name: 'Cap',
                quantity: 1,
                product_price: 1099,
                product_id: '1',
                category: 'Hats',
            },
            { product_sku: 'AB1235', product_name: 'Scarf', quantity: 2, product_price: 1757, product_id: '2' },
        ],
        abandoned_checkout_url: 'https://shop.example.com/cart',
    },
};
await bento.Batch.importEvents({
    events: [
        { type: '$purchase', email, date, fields: { business_unit: 'DE' }, details: order },
        {
            type: '$viewed_product',
            email,
            date,
            details: {
                sku: 'AB1234',
                price: 10.75,
                tags: ['new', 'blue'],
                page: { path: '/caps', depth: 2 },
                ok: true,
                note: null,
            },
        },
        {
            type: '$subscribed_newsletter',
            email: 'scott@example.com',
            date: new Date('2018-05-22T22:00:00.123Z'),
            fields: { external_id: 'DE85328', business_unit: 'DE', first_name: 'Škott “x”' },
            details: { list: 'Größe & <Maß> \u2028 😀' },
        },
        { type: '$order_status_changed', email, date, details: { order_id: '1234', status: 'return' } },
    ],
});
await bento.Batch.importEvents({
    events: [{ type: '$imported', email, date, details: { bypass_workflows: 'true' } }],
});
await bento.trackPurchase({
    email,
    date,
    purchaseDetails: { unique: { key: '42' }, value: { currency: 'JPY', amount: 1200 } },
});
await bento.Tags.getTags();
