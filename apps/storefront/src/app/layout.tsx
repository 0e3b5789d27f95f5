import type { Metadata, Viewport } from "next";
import Link from "next/link";
import type { ReactNode } from "react";
import "./styles.css";

export const metadata: Metadata = {
  title: { default: "UrbanCart · Useful things for city days", template: "%s · UrbanCart" },
  description: "A small shop of useful, lasting things for life in the city.",
};

export const viewport: Viewport = {
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#f7f4ee" },
    { media: "(prefers-color-scheme: dark)", color: "#161a18" },
  ],
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <a className="skip" href="#content">
          Skip to the content
        </a>
        <header className="masthead">
          <Link href="/" className="wordmark" aria-label="UrbanCart, home">
            <svg viewBox="0 0 28 28" width="28" height="28" aria-hidden="true">
              <rect width="28" height="28" rx="8" fill="currentColor" />
              <path
                d="M8 10h12l-1.4 9.2a1 1 0 0 1-1 .8h-7.2a1 1 0 0 1-1-.8z"
                fill="none"
                stroke="var(--paper)"
                strokeWidth="1.8"
                strokeLinejoin="round"
              />
              <path
                d="M11 10a3 3 0 0 1 6 0"
                fill="none"
                stroke="var(--paper)"
                strokeWidth="1.8"
                strokeLinecap="round"
              />
            </svg>
            UrbanCart
          </Link>
          <p>Useful things for city days</p>
        </header>
        <main id="content">{children}</main>
        <footer className="footer">
          <p>UrbanCart ships from a courtyard in the middle of town.</p>
          <p>Prices include VAT.</p>
        </footer>
      </body>
    </html>
  );
}
